Feature: What is kept is encrypted, and kept as long as it is needed

  @noskip
  Scenario: The ledger is encrypted
    Given I have aws_dynamodb_table defined
    Then it must have server_side_encryption
    Then it must have enabled
    And its value must be true

  @noskip
  Scenario: The ledger can be restored
    Given I have aws_dynamodb_table defined
    Then it must have point_in_time_recovery
    Then it must have enabled
    And its value must be true

  @noskip
  Scenario: Logs are kept for a while, not forever
    Given I have aws_cloudwatch_log_group defined
    Then it must have retention_in_days
    And its value must be greater than 0
