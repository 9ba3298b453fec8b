Feature: The shared account reads what runs in workload accounts, and does nothing else there

  @noskip
  Scenario: Readers read and do nothing else
    Given I have aws_iam_role_policy defined
    When its role is ".*-reader-.*" regex
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Action
    And its value must match the "^[a-z]+:(Get|List|Describe)[A-Za-z]+$" regex

  @noskip
  Scenario: Readers read what can use images, and not what is stored
    Given I have aws_iam_role_policy defined
    When its role is ".*-reader-.*" regex
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Action
    And its value must match the "^(config:DescribeConfigurationRecorder(s|Status)|ecs:[A-Za-z]+|events:List(EventBuses|RuleNamesByTarget|TargetsByRule)|scheduler:(GetSchedule|ListScheduleGroups|ListSchedules)|lambda:(GetFunction|ListFunctions)|batch:DescribeJobDefinitions)$" regex

  @noskip
  Scenario: Readers have the statements that were looked at, and no others
    Given I have aws_iam_role_policy defined
    When its role is ".*-reader-.*" regex
    Then it must have policy
    Then it must have Statement
    Then it must have Sid
    And its value must match the "^Read(Recorder|Ecs|Rules|Schedules|Functions|JobDefinitions)$" regex

  @noskip
  Scenario: Readers read in one region
    Given I have aws_iam_role_policy defined
    When its role is ".*-reader-.*" regex
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Condition
    Then it must have StringEquals
    Then it must have aws:RequestedRegion
    And its value must match the "^[a-z]+(-[a-z]+)+-[0-9]$" regex

  @noskip
  Scenario: Readers trust one account
    Given I have aws_iam_role defined
    When its name is ".*-reader-.*" regex
    Then it must have assume_role_policy
    Then it must have Statement
    Then it must have Principal
    Then it must have AWS
    And its value must match the "^arn:aws:iam::[0-9]{12}:root$" regex

  @noskip
  Scenario: Readers trust only the functions that judge images
    Given I have aws_iam_role defined
    When its name is ".*-reader-.*" regex
    Then it must have assume_role_policy
    Then it must have Statement
    Then it must have Condition
    Then it must have ArnEquals
    Then it must have aws:PrincipalArn
    And its value must match the "^arn:aws:iam::[0-9]{12}:role/ecr-cleanup-(run-checks|sweep)$" regex

  @noskip
  Scenario: Readers want to hear the name of the bus
    Given I have aws_iam_role defined
    When its name is ".*-reader-.*" regex
    Then it must have assume_role_policy
    Then it must have Statement
    Then it must have Condition
    Then it must have StringEquals
    Then it must have sts:ExternalId
    And its value must match the "^arn:aws:events:[a-z0-9-]+:[0-9]{12}:event-bus/ecr-cleanup$" regex
