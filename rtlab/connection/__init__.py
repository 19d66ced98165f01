"""How the controller reaches a machine: commands, SSH, keys, playbooks, and the probe's client."""
