Feature: Nobody else sends, nobody else reads, and nothing is lost

  @noskip
  Scenario: The event bus takes events and nothing else
    Given I have aws_cloudwatch_event_bus_policy defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Action
    And its value must match the "^events:PutEvents$" regex

  @noskip
  Scenario: Queues let in nobody but named rules
    Given I have aws_sqs_queue defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Condition
    Then it must have ArnEquals
    Then it must have aws:SourceArn
    And its value must match the "^arn:aws:events:[a-z0-9-]+:[0-9]{12}:rule/[^*]+$" regex

  @noskip
  Scenario: Queues let in nobody but EventBridge
    Given I have aws_sqs_queue defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Principal
    Then it must have Service
    And its value must match the "^events\.amazonaws\.com$" regex

  @noskip
  Scenario: Queues take messages and nothing else
    Given I have aws_sqs_queue defined
    Then it must have policy
    Then it must have Statement
    When its Effect is Allow
    Then it must have Action
    And its value must match the "^sqs:SendMessage$" regex

  @noskip
  Scenario: Rules take events of AWS services and nobody else
    Given I have aws_cloudwatch_event_rule defined
    Then it must have event_pattern
    Then it must have source
    And its value must match the "^aws\.(ecs|config|ecr)$" regex

  @noskip
  Scenario: Queues refuse requests without TLS
    Given I have aws_sqs_queue defined
    Then it must have policy
    Then it must have Statement
    Then it must have aws:SecureTransport
    And its value must match the "^false$" regex

  @noskip
  Scenario: Queues give up on a message after five times
    Given I have aws_sqs_queue defined
    When its name is not ".*-dead-letter$" regex
    Then it must have redrive_policy
    Then it must have maxReceiveCount
    And its value must match the "^5$" regex

  @noskip
  Scenario: Queues have dead letters
    Given I have aws_sqs_queue defined
    When its name is not ".*-dead-letter$" regex
    Then it must have redrive_policy
    Then it must have deadLetterTargetArn
    And its value must match the "^arn:aws:sqs:.*-dead-letter$" regex

  @noskip
  Scenario: Dead letters are kept as long as SQS can
    Given I have aws_sqs_queue defined
    When its name is ".*-dead-letter$" regex
    Then it must have message_retention_seconds
    And its value must match the "^1209600$" regex

  @noskip
  Scenario: Rule targets have dead letters
    Given I have aws_cloudwatch_event_target defined
    Then it must have dead_letter_config
    Then it must have arn
    And its value must match the "^arn:aws:sqs:.*-dead-letter$" regex

  @noskip
  Scenario: One bad message does not hold up its batch
    Given I have aws_lambda_event_source_mapping defined
    Then it must have function_response_types
    And its value must match the "^ReportBatchItemFailures$" regex

  @noskip
  Scenario: Schedules have dead letters
    Given I have aws_scheduler_schedule defined
    Then it must have target
    Then it must have dead_letter_config
    Then it must have arn
    And its value must match the "^arn:aws:sqs:[a-z0-9-]+:[0-9]{12}:ecr-cleanup-schedules-dead-letter$" regex

  @noskip
  Scenario: Schedules give up after a day
    Given I have aws_scheduler_schedule defined
    Then it must have target
    Then it must have retry_policy
    Then it must have maximum_event_age_in_seconds
    And its value must match the "^86400$" regex
