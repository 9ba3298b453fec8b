Feature: Without live usage, nobody reads in workload accounts

  @noskip
  Scenario: No role is assumed
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Action
    And its value must not match the "^sts:.*$" regex

  @noskip
  Scenario: No role trusts an account
    Given I have aws_iam_role defined
    Then it must have assume_role_policy
    Then it must have Statement
    Then it must have Principal
    Then it must have Service
    And its value must match the "^[a-z]+\.amazonaws\.com$" regex
