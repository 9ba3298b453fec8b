Feature: Roles may do what they need and nothing else

  @noskip
  Scenario: No permission covers a whole service
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Action
    And its value must not match the ".*\*.*" regex

  @noskip
  Scenario: No permission is on everything, except where AWS has nothing to name
    Given I have aws_iam_role_policy defined
    When its role is not ".*-reader-.*" regex
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is not "^(WriteTraces|ExcludeOwnReadsFromPullTimes|ListAccountsOfTheOrganization)$" regex
    Then it must have Resource
    And its value must not match the "^\*$" regex

  @noskip
  Scenario: The statements on everything hold nothing but what they are named for
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is "^(WriteTraces|ExcludeOwnReadsFromPullTimes|ListAccountsOfTheOrganization)$" regex
    Then it must have Action
    And its value must match the "^(xray:Put(TraceSegments|TelemetryRecords)|ecr:RegisterPullTimeUpdateExclusion|organizations:ListAccounts)$" regex

  @noskip
  Scenario: Only run-checks may remove images
    Given I have aws_iam_role_policy defined
    When its role is not ".*-run-checks$" regex
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Action
    And its value must not match the "^ecr:(.*Delete.*|UpdateImageStorageClass|BatchGetImage|.*\*.*)$" regex

  @noskip
  Scenario: Roles are passed to EventBridge Scheduler only
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is "^GiveSchedulesTheirRole$" regex
    Then it must have Condition
    Then it must have StringEquals
    Then it must have iam:PassedToService
    And its value must match the "^scheduler\.amazonaws\.com$" regex

  @noskip
  Scenario: No other statement passes roles
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is not "^GiveSchedulesTheirRole$" regex
    Then it must have Action
    And its value must not match the "^iam:.*$" regex

  @noskip
  Scenario: No other statement assumes roles
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is not "^AssumeReaders$" regex
    Then it must have Action
    And its value must not match the "^sts:.*$" regex

  @noskip
  Scenario: Roles trust services, not accounts, except those of readers
    Given I have aws_iam_role defined
    When its name is not ".*-reader-.*" regex
    Then it must have assume_role_policy
    Then it must have Statement
    Then it must have Principal
    Then it must have Service
    And its value must match the "^[a-z]+\.amazonaws\.com$" regex

  @noskip
  Scenario: Services take a role only on behalf of this account
    Given I have aws_iam_role defined
    When its name is not ".*-((schedule|run)-checks|reader-.*)$" regex
    Then it must have assume_role_policy
    Then it must have Statement
    Then it must have Condition
    Then it must have StringEquals
    Then it must have aws:SourceAccount
    And its value must match the "^[0-9]{12}$" regex
