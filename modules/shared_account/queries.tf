# Saved queries of CloudWatch Logs Insights: what people ask the logs. The fields are those of the README's section "Logs".
locals {
  log_groups = { for key, function in local.functions : key => "/aws/lambda/${function.name}" }

  queries = merge(
    {
      removals = {
        functions = ["run_checks"]
        query     = <<-EOT
          fields @timestamp, action, repository, tags.0, digest, bytes, pushed_at, pulled_at, last_used_at, reason, used_by.0, restore
          | filter removed = 1
          | sort @timestamp desc
        EOT
      }
      kept = {
        functions = ["run_checks"]
        query     = <<-EOT
          fields @timestamp, repository, tags.0, digest, rule, reason
          | filter verdict = "keep"
          | sort @timestamp desc
        EOT
      }
      postponed = {
        functions = ["run_checks"]
        query     = <<-EOT
          fields @timestamp, repository, tags.0, digest, rule, reason, attempt, next_check_at
          | filter verdict = "postpone"
          | sort @timestamp desc
        EOT
      }
      untrusted-inventory = {
        functions = setintersection(["run_checks", "sweep"], keys(local.functions))
        query     = <<-EOT
          fields @timestamp, account, account_region, reason, repair
          | filter message = "inventory not trusted"
          | sort @timestamp desc
        EOT
      }
      one-image = {
        functions = setintersection(["schedule_checks", "run_checks"], keys(local.functions))
        query     = <<-EOT
          fields @timestamp, message, rule, reason, repository, tags.0, task_definition, account, cause, next_check_at
          | filter @message like "sha256:put the image's digest here"
          | sort @timestamp asc
        EOT
      }
      failures = {
        functions = keys(local.functions)
        query     = <<-EOT
          fields @timestamp, message, error, reason, exception_name, message_id, delivery
          | filter level = "ERROR"
          | sort @timestamp desc
        EOT
      }
    },
    var.sweep == null ? {} : {
      silent-accounts = {
        functions = ["sweep"]
        query     = <<-EOT
          fields @timestamp, account, days, last_event_at, expected_since
          | filter message = "account heard of"
          | sort @timestamp desc
        EOT
      }
    },
  )
}

resource "aws_cloudwatch_query_definition" "this" {
  for_each = local.queries

  name            = "${var.name_prefix}/${each.key}"
  log_group_names = sort([for key in each.value.functions : local.log_groups[key]])
  query_string    = chomp(each.value.query)

  depends_on = [aws_cloudwatch_log_group.function]
}
