Feature: Without a key of one's own, AWS's keys encrypt everything

  @noskip
  Scenario: Queues are encrypted
    Given I have aws_sqs_queue defined
    Then it must have sqs_managed_sse_enabled
    And its value must be true
