"""The files that rtlab adds to a Debian it installs itself: network, first boot, boot loader, quiet services.

They hold no identity and no address. What makes a machine this machine comes with its seed
(``rtlab.providers.vagrant.seed``), which ``rtlab-seed`` reads at the first boot.
"""

from __future__ import annotations

# Enough to find the root disk under libvirt (virtio) and VirtualBox (SATA), and the seed's CD drive.
INITRAMFS_MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "ahci", "ata_piix", "sd_mod", "sr_mod", "ext4")

# Never used in a machine without screen and sound; half of the kernel package.
LEFT_OUT = (
    *("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*"),
    "/usr/share/doc/*",
    "/lib/modules/*/kernel/sound/*",
    *(
        f"/lib/modules/*/kernel/drivers/{name}/*"
        for name in ("gpu", "media", "infiniband", "net/wireless", "staging", "iio", "isdn", "hwmon", "bluetooth")
    ),
    *(
        f"/lib/modules/*/kernel/drivers/{name}/*"
        for name in ("net/ethernet/mellanox", "net/ethernet/chelsio", "comedi")
    ),
)
KEPT_ALL_THE_SAME = ("/usr/share/doc/*/copyright",)

MASKED_UNITS = (
    "systemd-networkd-wait-online.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service",
    "getty@tty1.service",
    "systemd-binfmt.service",
)
ENABLED_UNITS = ("systemd-networkd.service", "ssh.service", "rtlab-seed.service")

SEED_SCRIPT = """\
#!/bin/sh
# First boot of a machine made by rtlab: takes this machine's identity from the CD that rtlab attached.
# Runs once; /var/lib/rtlab/seeded is the mark.
set -eu

device=/dev/disk/by-label/cidata
waited=0
while [ ! -e "$device" ]; do
    if [ "$waited" -ge 120 ]; then
        echo "rtlab-seed: no CD with the label cidata; this machine stays without keys" >&2
        exit 1
    fi
    sleep 1
    waited=$((waited + 1))
done

seed=/run/rtlab-seed
mkdir -p "$seed" /var/lib/rtlab
mount -t iso9660 -o ro "$device" "$seed"
trap 'cd /; umount "$seed"' EXIT
cd "$seed/rtlab"

name=$(cat hostname)
echo "$name" >/etc/hostname
hostname "$name"
printf '127.0.0.1 localhost\\n127.0.1.1 %s\\n' "$name" >/etc/hosts

install -m 0600 host_key /etc/ssh/ssh_host_ed25519_key
install -m 0644 host_key.pub /etc/ssh/ssh_host_ed25519_key.pub

if ! id vagrant >/dev/null 2>&1; then
    useradd --create-home --shell /bin/bash --password '*' vagrant
fi
install -d -m 0700 -o vagrant -g vagrant /home/vagrant/.ssh
install -m 0600 -o vagrant -g vagrant authorized_keys /home/vagrant/.ssh/authorized_keys
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/rtlab
chmod 0440 /etc/sudoers.d/rtlab

# Optional: name server, package sources, proxy and certificate authorities of the machine that rtlab runs on.
if [ -f resolv.conf ]; then install -m 0644 resolv.conf /etc/resolv.conf; fi
if [ -f sources.list ]; then install -m 0644 sources.list /etc/apt/sources.list; fi
if [ -f apt.conf ]; then install -m 0644 apt.conf /etc/apt/apt.conf.d/90rtlab-proxy; fi
if [ -f ca.crt ]; then
    install -m 0644 ca.crt /usr/local/share/ca-certificates/rtlab.crt
    update-ca-certificates
fi

# The disk may be larger than the box's.
root=$(findmnt -n -o SOURCE /)
disk=/dev/$(lsblk -n -o PKNAME "$root")
free=$(($(blockdev --getsize64 "$disk") - $(blockdev --getsize64 "$root")))
if [ "$free" -gt 104857600 ]; then
    echo ', +' | sfdisk --no-reread --force -N 1 "$disk"
    partx --update "$disk"
    resize2fs "$root"
fi
touch /var/lib/rtlab/seeded
"""

SEED_UNIT = """\
[Unit]
Description=First boot: identity of a machine made by rtlab
ConditionPathExists=!/var/lib/rtlab/seeded
After=local-fs.target systemd-udev-trigger.service
Before=ssh.service
Wants=systemd-udev-trigger.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/rtlab-seed

[Install]
WantedBy=multi-user.target
"""

NETWORK = """\
# Names as the kernel gives them (net.ifnames=0). The MAC as client id keeps the address over reboots and boxes.
[Match]
Name=eth*

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no

[DHCPv4]
ClientIdentifier=mac
UseDNS=yes
"""

SSHD = """\
# rtlab: keys only, and no reverse look-up that would delay each connection.
PasswordAuthentication no
PermitRootLogin no
UseDNS no
AcceptEnv LANG LC_*
"""


def kernel_command_line(uuid: str, extra: str) -> str:
    """For the boot loader; ``extra`` comes from the profile (``systemd.unified_cgroup_hierarchy=0`` …)."""
    words = f"root=UUID={uuid} ro net.ifnames=0 console=tty0 console=ttyS0 quiet {extra}"
    return " ".join(words.split())


def files(uuid: str, kernel_arguments: str) -> dict[str, tuple[str, int]]:
    """Path below the root -> (content, mode)."""
    return {
        "etc/fstab": (f"UUID={uuid} / ext4 noatime,errors=remount-ro 0 1\n", 0o644),
        "etc/hostname": ("rtlab-box\n", 0o644),
        "etc/hosts": ("127.0.0.1 localhost\n", 0o644),
        "etc/initramfs-tools/conf.d/rtlab": ("MODULES=list\nCOMPRESS=lz4\nRESUME=none\n", 0o644),
        "usr/share/initramfs-tools/modules.d/rtlab": ("\n".join(INITRAMFS_MODULES) + "\n", 0o644),
        "etc/systemd/network/80-rtlab.network": (NETWORK, 0o644),
        "etc/ssh/sshd_config.d/rtlab.conf": (SSHD, 0o644),
        "etc/systemd/system/rtlab-seed.service": (SEED_UNIT, 0o644),
        "usr/local/sbin/rtlab-seed": (SEED_SCRIPT, 0o755),
        "boot/extlinux/extlinux.conf": (
            "DEFAULT linux\nPROMPT 0\nTIMEOUT 0\n\nLABEL linux\n  LINUX /vmlinuz\n  INITRD /initrd.img\n"
            f"  APPEND {kernel_command_line(uuid, kernel_arguments)}\n",
            0o644,
        ),
    }
