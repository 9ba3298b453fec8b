Feature: Nothing is removed where that was not asked for

  @noskip
  Scenario: Nothing removes images or reads them
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Action
    And its value must not match the "^ecr:(.*Delete.*|UpdateImageStorageClass|BatchGetImage|.*\*.*)$" regex
