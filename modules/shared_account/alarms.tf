# Somebody should look: either much became unused at once, or something is wrong.
resource "aws_cloudwatch_metric_alarm" "removals_capped" {
  alarm_name          = "${var.name_prefix}-removals-capped"
  alarm_description   = "Images wait to be removed: protections.removals_per_day is reached"
  namespace           = "EcrCleanup"
  metric_name         = "RemovalsCapped"
  dimensions          = { service = var.name_prefix }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arn[*]
  tags                = var.tags
}
