"""How jobs run: on this machine, each in a process of its own, or elsewhere."""
