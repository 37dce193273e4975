#!/usr/bin/python3
"""A hook of the kind that people write for devices of one type on one parent."""
import sys
import xml.etree.ElementTree

CREATE = "/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create"

if sys.argv[2:4] in (["prepare", "begin"], ["release", "end"]):
    domain = xml.etree.ElementTree.parse(sys.stdin)
    for address in domain.findall("./devices/hostdev[@type='mdev']/source/address"):
        uuid = address.get("uuid")
        if sys.argv[2] == "prepare":
            with open(CREATE, "w") as create:
                create.write(uuid)
        else:
            with open(f"/sys/bus/mdev/devices/{uuid}/remove", "w") as remove:
                remove.write("1")
