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
    When its Sid is not "^(WriteTraces|ExcludeOwnReadsFromPullTimes|FindOptedInRepositories|ListAccountsOfTheOrganization)$" regex
    Then it must have Resource
    And its value must not match the "^\*$" regex

  @noskip
  Scenario: The statements on everything hold nothing but what they are named for
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    When its Sid is "^(WriteTraces|ExcludeOwnReadsFromPullTimes|FindOptedInRepositories|ListAccountsOfTheOrganization)$" regex
    Then it must have Action
    And its value must match the "^(xray:Put(TraceSegments|TelemetryRecords)|ecr:RegisterPullTimeUpdateExclusion|organizations:ListAccounts|tag:GetResources)$" regex

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
    When its name is not ".*-((schedule|run)-checks|sweep|digest|reader-.*)$" regex
    Then it must have assume_role_policy
    Then it must have Statement
    Then it must have Condition
    Then it must have StringEquals
    Then it must have aws:SourceAccount
    And its value must match the "^[0-9]{12}$" regex

  @noskip
  Scenario: The sweep moves no check that is pending
    Given I have aws_iam_role_policy defined
    When its role is ".*-sweep$" regex
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Action
    And its value must not match the "^scheduler:(Get|Update|Delete).*$" regex

  @noskip
  Scenario: EventBridge Scheduler sends messages to named queues
    Given I have aws_iam_role_policy defined
    When its role is ".*-scheduler$" regex
    Then it must have policy
    Then it must have Statement
    When its Sid is "^SendChecksAndSweeps$" regex
    Then it must have Resource
    And its value must match the "^arn:aws:sqs:[a-z0-9-]+:[0-9]{12}:ecr-cleanup-(checks|sweeps|digests|schedules-dead-letter)$" regex
