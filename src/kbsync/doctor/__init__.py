"""What `kbsync doctor` looks at: findings, the checks of a backend, and who puts them together."""
