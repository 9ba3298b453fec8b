variable "region" {
  type        = string
  description = "The region of the registry, and of what runs its images."
  default     = "eu-central-1"
}

variable "organization_id" {
  type        = string
  description = "The organization's id."
  default     = "o-a1b2c3d4e5"
}

variable "organizational_unit_ids" {
  type        = set(string)
  description = "The organizational units, or the root, whose accounts run the images."
  default     = ["ou-a1b2-c3d4e5f6"]
}

variable "call_as" {
  type        = string
  description = "`SELF` in the management account, `DELEGATED_ADMIN` in a delegated administrator of StackSets."
  default     = "SELF"
}

variable "exempt" {
  type        = set(string)
  description = "Accounts that run no images, such as a sandbox, or the management account."
  default     = []
}
