Feature: The shared account assumes the roles of readers, and no others

  @noskip
  Scenario: No role but readers is assumed
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is "^AssumeReaders$" regex
    Then it must have Resource
    And its value must match the "^arn:aws:iam::\*:role/ecr-cleanup-reader-\*$" regex

  @noskip
  Scenario: The statement that assumes roles does nothing else
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is "^AssumeReaders$" regex
    Then it must have Action
    And its value must match the "^sts:AssumeRole$" regex

  @noskip
  Scenario: Only the functions that judge images assume roles
    Given I have aws_iam_role_policy defined
    When its role is not ".*-(run-checks|sweep)$" regex
    Then it must have policy
    Then it must have Statement
    Then it must have Sid
    And its value must not match the "^AssumeReaders$" regex
