Feature: The event bus is open to the listed accounts and nobody else

  @noskip
  Scenario: The event bus is not open to everybody
    Given I have aws_cloudwatch_event_bus_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Principal
    Then it must have AWS
    And its value must match the "^arn:aws:iam::[0-9]{12}:root$" regex
