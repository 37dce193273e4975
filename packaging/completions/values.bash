# What this host has, for the values that the rest does not know.

_automdev_parents() {
    automdev types --format json 2> /dev/null | grep -o '^{"schema":1,"parent":"[A-Za-z0-9._:-]*"' | cut -d '"' -f 6
}

_automdev_types() {
    automdev types --format json 2> /dev/null | grep -o '"type":"[A-Za-z0-9._:-]*"' | cut -d '"' -f 4 | sort -u
}

_automdev_uuids() {
    automdev list --format json 2> /dev/null | grep -o '^{"schema":1,"uuid":"[0-9a-f-]*"' | cut -d '"' -f 6 | sort -u
}

_automdev_with_values() {
    # Readline's own words end at colons, which parents have in their names.
    local line=${COMP_LINE:0:COMP_POINT} word before values= kept
    word=${line##*[[:blank:]]}
    read -ra before <<< "${line%"$word"}"
    # What stands behind run is QEMU's.
    if [[ ${before[1]-} == run ]]; then
        _automdev "$@"
        return
    fi
    case ${before[${#before[@]} - 1]} in
        --parent) values=$(_automdev_parents) ;;
        --type) values=$(_automdev_types) ;;
        --uuid) values=$(_automdev_uuids) ;;
        --format | --domain) ;;
        *)
            case ${before[1]-},$word in
                *,-*) ;;
                show,* | undefine,* | create,* | remove,*) values=$(_automdev_uuids) ;;
            esac
            ;;
    esac
    if [[ -z $values ]]; then
        _automdev "$@"
        return
    fi
    COMPREPLY=( $(compgen -W "$values" -- "$word") )
    if [[ $COMP_WORDBREAKS == *:* ]]; then
        kept=${word%"${word##*:}"}
        COMPREPLY=( "${COMPREPLY[@]#"$kept"}" )
    fi
}

