Feature: Alarms ring when somebody should look, and not otherwise

  @noskip
  Scenario: The cap on removals has an alarm
    Given I have aws_cloudwatch_metric_alarm defined
    When its alarm_name is ".*-removals-capped$" regex
    Then it must have metric_name
    And its value must match the "^RemovalsCapped$" regex

  @noskip
  Scenario: No alarm rings where nothing happens, but that of sweeps that stop
    Given I have aws_cloudwatch_metric_alarm defined
    When its alarm_name is not ".*-sweep-not-finished$" regex
    Then it must have treat_missing_data
    And its value must match the "^(notBreaching|ignore)$" regex
