# bash completion for dbcord and dbcord-emulator. The names come from dbcord
# itself, so that they are those of the version that is installed.

_dbcord() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --env-file | --format) ((i++)) ;;
        -*) ;;
        *)
            command=${COMP_WORDS[i]}
            break
            ;;
        esac
    done

    case $prev in
    --format)
        mapfile -t COMPREPLY < <(compgen -W 'json ndjson csv tsv table' -- "$cur")
        return
        ;;
    --env-file | --file)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    -o)
        mapfile -t COMPREPLY < <(compgen -W 'ro allow_other cache= nobot root=' -- "$cur")
        return
        ;;
    esac

    if [[ -z $command && $cur != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(dbcord help --names 2>/dev/null | cut -f1)" -- "$cur")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--help --version --env-file --format' -- "$cur")
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(dbcord help --options "$command" 2>/dev/null | cut -f1)" -- "$cur")
    elif [[ $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(dbcord help --names 2>/dev/null | cut -f1)" -- "$cur")
    elif [[ $command == mount || $command == unmount || $command == status ]]; then
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
    fi
}
complete -F _dbcord dbcord

_dbcord_emulator() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    case $prev in
    --limits) mapfile -t COMPREPLY < <(compgen -W 'real off' -- "$cur") ;;
    --data) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    --listen) mapfile -t COMPREPLY < <(compgen -W '127.0.0.1:0' -- "$cur") ;;
    --search-lag | --token | --guild) ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W \
            '--listen --data --limits --search-lag --token --guild --help --version' -- "$cur")
        ;;
    esac
}
complete -F _dbcord_emulator dbcord-emulator
