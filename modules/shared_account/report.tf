locals {
  report_prefix = try(coalesce(var.sweep.report_prefix), "${var.name_prefix}/")
}

# The page that shows a report. The function puts the reports of its sweeps into it; for its package it would be too large.
resource "aws_s3_object" "report_page" {
  for_each = toset(var.sweep == null ? [] : var.sweep.report_bucket[*])

  bucket       = each.value
  key          = "${local.report_prefix}page.html"
  content_type = "text/html; charset=utf-8"
  content = replace(
    file("${local.lambda_src}/ecr_cleanup/page/page.html"),
    "\"CHART_LIBRARY\"",
    file("${local.lambda_src}/ecr_cleanup/page/chart.umd.min.js"),
  )
  # No tags: objects take ten at most, and all else takes fifty.
}
