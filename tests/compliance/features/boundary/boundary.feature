Feature: No role may do more than the permissions boundary that was given

  @noskip
  Scenario: Roles have the boundary
    Given I have aws_iam_role defined
    Then it must have permissions_boundary
    And its value must match the "^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$" regex
