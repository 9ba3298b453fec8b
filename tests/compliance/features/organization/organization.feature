Feature: The event bus is open to the organization and nobody else

  @noskip
  Scenario: The event bus is not open to everybody in the world
    Given I have aws_cloudwatch_event_bus_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Condition
    Then it must have StringEquals
    Then it must have aws:PrincipalOrgID
    And its value must match the "^o-[a-z0-9]{10,32}$" regex
