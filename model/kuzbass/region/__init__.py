"""What is known of the Kuzbass: data, scenarios, resilience index, targets. Runs nothing."""
