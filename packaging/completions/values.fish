
# What this host has, for the values that the rest does not know.

function __automdev_parents
    automdev types --format json 2>/dev/null | string match --regex --groups-only '^{"schema":1,"parent":"([^"]*)"'
end

function __automdev_types
    automdev types --format json 2>/dev/null | string match --regex --all --groups-only '"type":"([^"]*)"' | sort -u
end

function __automdev_uuids
    automdev list --format json 2>/dev/null | string match --regex --groups-only '^{"schema":1,"uuid":"([^"]*)"' | sort -u
end

for command in show undefine create remove
    complete -c automdev -n "__fish_automdev_using_subcommand $command" -f -a "(__automdev_uuids)"
end
