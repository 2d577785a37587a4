"""What depends on the type of the target: metrics, figures and reports."""
