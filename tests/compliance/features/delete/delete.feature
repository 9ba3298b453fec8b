Feature: Images are removed only where that was asked for

  @noskip
  Scenario: Images are removed and read only in repositories that opted in
    Given I have aws_iam_role_policy defined
    When its role is ".*-run-checks$" regex
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is "^RemoveImagesOfOptedInRepositories$" regex
    Then it must have Condition
    Then it must have StringEquals
    Then it must have aws:ResourceTag/ecr-cleanup
    And its value must match the "^enabled$" regex

  @noskip
  Scenario: No other statement removes or reads images
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is not "^RemoveImagesOfOptedInRepositories$" regex
    Then it must have Action
    And its value must not match the "^ecr:(.*Delete.*|UpdateImageStorageClass|BatchGetImage|.*\*.*)$" regex
