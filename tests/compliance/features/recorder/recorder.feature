Feature: The AWS Config recorder sees everything, and its bucket shows nothing

  @noskip
  Scenario: Changes are recorded as they happen
    Given I have aws_config_configuration_recorder defined
    Then it must have recording_mode
    Then it must have recording_frequency
    And its value must match the "^CONTINUOUS$" regex

  @noskip
  Scenario: The bucket is private
    Given I have aws_s3_bucket_public_access_block defined
    Then it must have restrict_public_buckets
    And its value must be true

  @noskip
  Scenario: The bucket refuses requests without TLS
    Given I have aws_s3_bucket_policy defined
    Then it must have policy
    Then it must have Statement
    Then it must have aws:SecureTransport
    And its value must match the "^false$" regex

  @noskip
  Scenario: The bucket is encrypted
    Given I have aws_s3_bucket_server_side_encryption_configuration defined
    Then it must have sse_algorithm
    And its value must match the "^AES256$" regex
