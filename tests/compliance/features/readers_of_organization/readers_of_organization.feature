Feature: Readers are assumed in the organization and nowhere else

  @noskip
  Scenario: Readers of other organizations are not assumed
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is "^AssumeReaders$" regex
    Then it must have Condition
    Then it must have StringEquals
    Then it must have aws:ResourceOrgID
    And its value must match the "^o-[a-z0-9]{10,32}$" regex
