Feature: A key of one's own encrypts everything but the dead letters

  @noskip
  Scenario: Queues use the key
    Given I have aws_sqs_queue defined
    When its name is not ".*-dead-letter$" regex
    Then it must have kms_master_key_id
    And its value must match the "^arn:aws:kms:.*:key/.*$" regex

  @noskip
  Scenario: Dead letters do not use the key
    Given I have aws_sqs_queue defined
    When its name is ".*-dead-letter$" regex
    Then it must have sqs_managed_sse_enabled
    And its value must be true

  @noskip
  Scenario: The ledger uses the key
    Given I have aws_dynamodb_table defined
    Then it must have server_side_encryption
    Then it must have kms_key_arn
    And its value must match the "^arn:aws:kms:.*:key/.*$" regex

  @noskip
  Scenario: Logs use the key
    Given I have aws_cloudwatch_log_group defined
    Then it must have kms_key_id
    And its value must match the "^arn:aws:kms:.*:key/.*$" regex

  @noskip
  Scenario: The environment of the functions uses the key
    Given I have aws_lambda_function defined
    Then it must have kms_key_arn
    And its value must match the "^arn:aws:kms:.*:key/.*$" regex

  @noskip
  Scenario: Roles may use this key and no other
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    When its Sid is "^(DecryptMessagesLedgerAndEnvironment|EncryptChecks)$" regex
    Then it must have Resource
    And its value must match the "^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[^*]+$" regex
