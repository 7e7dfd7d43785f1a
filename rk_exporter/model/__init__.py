"""What the exporter knows: frozen values without behaviour of their own."""
