Feature: Somebody hears of alarms where a topic was given

  @noskip
  Scenario: Alarms tell the topic
    Given I have aws_cloudwatch_metric_alarm defined
    Then it must have alarm_actions
    And its value must match the "^arn:aws:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$" regex
