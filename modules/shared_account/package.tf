# The package is built during apply, and the hash of its sources (not of the zip, which a plan on another machine does not
# have) says when. `lambda_package` replaces all of this.
locals {
  lambda_src   = "${path.module}/../../lambda_src"
  package_file = "${local.lambda_src}/dist/ecr_cleanup.zip"

  # The same files that build.py packs, and build.py itself.
  package_sources = concat(
    ["build.py"],
    [for file in fileset(local.lambda_src, "ecr_cleanup/**/*.py") : file if !can(regex("^ecr_cleanup/(cli|page)/", file))],
  )
  package_sources_hash = base64sha256(jsonencode({
    for file in local.package_sources : file => filesha256("${local.lambda_src}/${file}")
  }))

  package = var.lambda_package != null ? {
    filename          = var.lambda_package.filename
    s3_bucket         = var.lambda_package.s3_bucket
    s3_key            = var.lambda_package.s3_key
    s3_object_version = var.lambda_package.s3_object_version
    source_code_hash = (
      var.lambda_package.source_code_hash != null || var.lambda_package.filename == null
      ? var.lambda_package.source_code_hash
      : filebase64sha256(var.lambda_package.filename)
    )
    } : {
    filename          = local.package_file
    s3_bucket         = null
    s3_key            = null
    s3_object_version = null
    source_code_hash  = local.package_sources_hash
  }
}

# Everything for which the provider uploads code is a trigger: the zip must be there then, even in a fresh checkout. Only
# where a function could not be created at all, the next fresh checkout must be told to build: -replace this resource.
resource "terraform_data" "package" {
  count = var.lambda_package == null ? 1 : 0

  triggers_replace = {
    sources      = local.package_sources_hash
    output       = local.package_file
    functions    = [for function in local.functions : function.name]
    architecture = var.lambda.architecture
    runtime      = var.lambda.runtime
  }

  provisioner "local-exec" {
    command = "sh '${local.lambda_src}/build.sh' '${local.package_file}'"
  }
}
