Feature: Readers are assumed in the listed accounts and nowhere else

  @noskip
  Scenario: Readers of other accounts are not assumed
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is "^AssumeReaders$" regex
    Then it must have Condition
    Then it must have StringEquals
    Then it must have aws:ResourceAccount
    And its value must match the "^[0-9]{12}$" regex
