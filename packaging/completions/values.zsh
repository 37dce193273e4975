
# What this host has, for the values that the rest does not know.

_automdev_parents() {
    local -a values
    values=(${(f)"$(automdev types --format json 2> /dev/null | grep -o '^{"schema":1,"parent":"[A-Za-z0-9._:-]*"' | cut -d '"' -f 6)"})
    compadd -a values
}

_automdev_types() {
    local -a values
    values=(${(f)"$(automdev types --format json 2> /dev/null | grep -o '"type":"[A-Za-z0-9._:-]*"' | cut -d '"' -f 4 | sort -u)"})
    compadd -a values
}

_automdev_uuids() {
    local -a values
    values=(${(f)"$(automdev list --format json 2> /dev/null | grep -o '^{"schema":1,"uuid":"[0-9a-f-]*"' | cut -d '"' -f 6 | sort -u)"})
    compadd -a values
}

