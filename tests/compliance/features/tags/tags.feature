Feature: Everything says whose it is where tags were given

  @noskip
  Scenario: What can have tags has them
    Given I have resource that supports tags defined
    Then it must have tags
    And its value must not be null
