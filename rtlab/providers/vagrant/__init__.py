"""Virtual machines, by Vagrant with libvirt or VirtualBox."""
