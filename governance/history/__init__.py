"""What the policy was, what it was asked, and how often its rules spoke: for people who want to change it."""
