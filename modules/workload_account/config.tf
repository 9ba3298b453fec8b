# Provider 6 prefers `authorized_aws_region`, which provider 5 does not know; both take `region`.
resource "aws_config_aggregate_authorization" "this" {
  count = var.authorize_aggregator ? 1 : 0

  account_id = local.aggregator_account_id
  region     = local.aggregator_region
  tags       = var.tags
}
