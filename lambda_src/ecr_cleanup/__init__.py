"""Removes Amazon ECR images that no Amazon ECS workload uses any more."""
