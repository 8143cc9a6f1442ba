# bash completion for sandboxctl(1)

_sandboxctl_jails() {
    local socket=()
    [[ -n ${1-} ]] && socket=(--socket "$1")
    sandboxctl ps "${socket[@]}" 2>/dev/null | cut -f 1
    sandboxctl ps "${socket[@]}" 2>/dev/null | cut -f 2 | grep -vx -e -
}

# What follows an option: words, or files or directories; nothing when only the user knows.
_sandboxctl_value() {
    local option=$1 current=$2 socket=$3
    case $option in
        --workspace) COMPREPLY=($(compgen -W "ro rw" -- "$current")) ;;
        --detach-keys) COMPREPLY=($(compgen -W "ctrl-p,ctrl-q none" -- "$current")) ;;
        --user) COMPREPLY=($(compgen -W "root self" -- "$current")) ;;
        --network) COMPREPLY=($(compgen -W "none host" -- "$current")) ;;
        --stdio) COMPREPLY=($(compgen -W "relay pass inherit null" -- "$current")) ;;
        --signal | -s) COMPREPLY=($(compgen -A signal -P "" -- "SIG${current#SIG}")) ;;
        --profile) COMPREPLY=($(compgen -W "$(sandboxctl profile list ${socket:+--socket "$socket"} 2>/dev/null | cut -f 1)" -- "$current")) ;;
        --preset)
            COMPREPLY=($(compgen -W "default hardened agent-default test-generator coverage-analyzer security-scanner build" -- "$current"))
            ;;
        --root) COMPREPLY=($(compgen -W "host" -- "$current") $(compgen -d -- "$current")) ;;
        --workspace-dir | --state-dir) COMPREPLY=($(compgen -d -- "$current")) ;;
        --bind | --ro-bind | --env-file | --config | --socket) COMPREPLY=($(compgen -f -- "$current")) ;;
        --env | -e) COMPREPLY=($(compgen -v -- "$current")) ;;
        *) COMPREPLY=() ;;
    esac
}

_sandboxctl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local verbs="run learn explain create exec attach ps stats why update inspect freeze thaw extend rm jobs wait logs signal kill cp files events profile info doctor
        audit"
    local common="--json --socket --help -h"
    local jail="--profile --name --label --workspace --workspace-dir --at --bind --ro-bind --root --tmpfs --dir --hostname --user
        --network --mount-namespace --explain-denials"
    local limits="--preset --memory-max --memory-high --memory-swap-max --cpu-max --cpu-weight --pids-max --io-max-rbps --io-max-wbps --io-max-riops --io-max-wiops --nofile --file-size-max --scratch-max --inodes-max --output-max --cpu-time --idle-time --disk-max"
    local variables="--workdir -w --env -e --env-file --timeout"
    local streams="--tty -t --detach -d --detach-keys --log --merge-stderr --stdio"
    local -A options=(
        [run]="$jail $limits $variables $streams" [learn]="--output -o $jail $limits $variables $streams" [explain]="$jail $limits $variables $streams"
        [create]="$jail $limits $variables --ttl"
        [exec]="$variables $streams --nofile --file-size-max --file-size --output-max --keep-survivors --explain-denials" [attach]="--detach-keys --replay"
        [ps]="--label" [stats]="--watch -w" [why]="" [update]="--memory-max --memory-high --memory-swap-max --cpu-max --cpu-weight --pids-max
            --io-max-rbps --io-max-wbps --io-max-riops --io-max-wiops" [inspect]="" [freeze]="" [thaw]="" [extend]="" [rm]="--force -f" [jobs]="" [wait]=""
        [logs]="--follow -f --raw" [signal]="--signal -s" [kill]="--signal -s --grace"
        [cp]="--size-max --entries-max --depth-max" ["files ls"]="" ["files stat"]="" ["files cat"]="--raw"
        ["files write"]="--append -a --exclusive -x --mode -m" ["files rm"]="--recursive -r"
        [events]="--follow -f --after --epoch" [info]="--features" [doctor]="--state-dir --config"
        ["profile list"]="" ["profile show"]="" ["profile check"]="" ["profile explain"]="" ["profile diff"]="" ["profile compile"]=""
        ["audit verify"]=""
    )
    # Options that take a word of their own; --workspace takes one only after '='.
    local valued=" --socket --profile --name --label --workspace-dir --at --workdir -w --bind --ro-bind --root --tmpfs --dir --hostname
        --env -e --env-file --user --timeout --network --stdio --signal -s --grace --after --epoch --state-dir --config --ttl --detach-keys
        --preset --memory-max --memory-high --memory-swap-max --cpu-max --cpu-weight --pids-max --io-max-rbps --io-max-wbps
        --io-max-riops --io-max-wiops --file-size-max --scratch-max --inodes-max --output-max --cpu-time --idle-time --disk-max
        --nofile --file-size --replay --size-max --entries-max --depth-max --mode -m "
    valued=${valued//$'\n'/ }

    # Words are broken at '=' and ':' (COMP_WORDBREAKS): "--user" "=" "ro".
    if [[ $current == "=" ]]; then
        _sandboxctl_value "$previous" "" ""
        return
    elif [[ $previous == "=" ]]; then
        _sandboxctl_value "${COMP_WORDS[COMP_CWORD - 2]}" "$current" ""
        return
    fi

    local verb="" socket="" target="" i word
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == "--" ]]; then
            break
        elif [[ $valued == *" $word "* && ${COMP_WORDS[i + 1]} != "=" ]]; then
            [[ $word == --socket ]] && socket=${COMP_WORDS[i + 1]}
            ((i += 1))
        elif [[ $word == -* || $word == "=" || ${COMP_WORDS[i - 1]} == "=" ]]; then
            continue
        elif [[ -z $verb || $verb == profile || $verb == audit || $verb == files ]]; then
            verb="${verb:+$verb }$word"
        elif [[ $verb == exec && -z $target ]]; then
            target=$word
        elif [[ $verb == run || $verb == explain || $verb == exec ]]; then
            break
        fi
    done

    if ((i < COMP_CWORD)) && [[ $verb == run || $verb == explain || $verb == exec ]]; then
        # The command: as the shell itself would complete it.
        [[ ${COMP_WORDS[i]} == "--" ]] && ((i += 1))
        if declare -F _command_offset >/dev/null; then
            _command_offset "$i"
        elif ((i == COMP_CWORD)); then
            COMPREPLY=($(compgen -c -- "$current"))
        else
            COMPREPLY=($(compgen -f -- "$current"))
        fi
        return
    fi
    if ((i == COMP_CWORD + 1)) || [[ $valued == *" $previous "* ]]; then
        _sandboxctl_value "$previous" "$current" "$socket"
        return
    fi
    if [[ $current == -* ]]; then
        local words="$common ${options[$verb]-}"
        [[ -z $verb ]] && words+=" --version"
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        return
    fi
    case $verb in
        "") COMPREPLY=($(compgen -W "$verbs" -- "$current")) ;;
        files) COMPREPLY=($(compgen -W "ls stat cat write rm" -- "$current")) ;;
        cp | "files "*)
            COMPREPLY=($(compgen -W "$(_sandboxctl_jails "$socket")" -S : -- "$current"))
            [[ $verb == cp ]] && COMPREPLY+=($(compgen -f -- "$current"))
            compopt -o nospace
            ;;
        profile) COMPREPLY=($(compgen -W "list show check explain diff compile" -- "$current")) ;;
        audit) COMPREPLY=($(compgen -W "verify" -- "$current")) ;;
        exec)
            if [[ -z $target ]]; then
                COMPREPLY=($(compgen -W "$(_sandboxctl_jails "$socket")" -- "$current"))
            else
                COMPREPLY=($(compgen -c -- "$current"))
            fi
            ;;
        attach | wait | logs | signal | kill)
            if [[ $current == */* ]]; then
                COMPREPLY=($(compgen -W "$(sandboxctl jobs "${current%%/*}" ${socket:+--socket "$socket"} 2>/dev/null | cut -f 1)" -- "$current"))
            else
                COMPREPLY=($(compgen -W "$(_sandboxctl_jails "$socket")" -- "$current"))
            fi
            ;;
        inspect | why | freeze | thaw | extend | rm | jobs) COMPREPLY=($(compgen -W "$(_sandboxctl_jails "$socket")" -- "$current")) ;;
        "profile show" | "profile diff" | "profile compile") _sandboxctl_value --profile "$current" "$socket" ;;
        "profile check") COMPREPLY=($(compgen -f -- "$current")) ;;
        "audit verify") COMPREPLY=($(compgen -d -- "$current")) ;;
        run | explain) COMPREPLY=($(compgen -c -- "$current")) ;;
    esac
}

complete -o filenames -o bashdefault -F _sandboxctl sandboxctl
