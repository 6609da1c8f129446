# fish completion for dbcord and dbcord-emulator. The names come from dbcord
# itself, so that they are those of the version that is installed.

function __dbcord_command
    set -l words (commandline -opc)
    test (count $words) -ge 2; and echo $words[2]
end

complete -c dbcord -f
complete -c dbcord -n 'test -z "$(__dbcord_command)"' -a '(dbcord help --names 2>/dev/null)'
complete -c dbcord -n 'contains -- (__dbcord_command) help' -a '(dbcord help --names 2>/dev/null)'
complete -c dbcord -n 'contains -- (__dbcord_command) mount unmount status' -a '(__fish_complete_directories)'
complete -c dbcord -n 'test -n "$(__dbcord_command)"' -a '(dbcord help --options (__dbcord_command) 2>/dev/null | string match -- "$(commandline -ct)*")'
complete -c dbcord -l env-file -r -F -d 'read the settings from this file'
complete -c dbcord -l format -x -a 'json ndjson csv tsv table'

complete -c dbcord-emulator -f
complete -c dbcord-emulator -l listen -x -d 'address and port'
complete -c dbcord-emulator -l data -r -F -d 'file that keeps the state'
complete -c dbcord-emulator -l limits -x -a 'real off' -d 'rate limits'
complete -c dbcord-emulator -l search-lag -x -d 'milliseconds that search is late'
complete -c dbcord-emulator -l token -x -d "the bot's token"
complete -c dbcord-emulator -l guild -x -d 'the name of the guild'
