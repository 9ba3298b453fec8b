"""The module as Terraform applies it, from the API calls of teams to the removal of images."""
