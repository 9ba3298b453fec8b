locals {
  # Repositories, and whether their owners opted in.
  repositories = {
    api     = true
    web     = true
    worker  = true
    billing = true
    gateway = true
    reports = true
    shop    = true
    archive = false
  }
}

resource "aws_ecr_repository" "this" {
  for_each = local.repositories

  name         = each.key
  force_delete = true
  tags         = each.value ? { ecr-cleanup = "enabled" } : {}
}

resource "aws_ecr_repository_policy" "this" {
  for_each = local.repositories

  repository = aws_ecr_repository.this[each.key].name
  policy     = data.aws_iam_policy_document.pull.json
}

data "aws_iam_policy_document" "pull" {
  statement {
    sid = "WorkloadAccountsPull"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetDownloadUrlForLayer",
    ]

    principals {
      type = "AWS"
      identifiers = [
        "arn:aws:iam::${var.production_account_id}:root",
        "arn:aws:iam::${var.development_account_id}:root",
      ]
    }
  }
}
