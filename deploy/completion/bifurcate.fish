# fish completion for bifurcate: commands and options come from its own help.
function __bifurcate_command
    for word in (commandline -opc)[2..]
        if not string match -q -- '-*' $word
            echo $word
            return
        end
    end
end

function __bifurcate_after
    contains -- (commandline -opc)[-1] $argv
end

function __bifurcate_takes_model
    contains -- (__bifurcate_command) sweep series revision watch unwatch deliveries analyze audit distribution trajectories displacement plot perplexity
end

function __bifurcate_states
    switch "$(__bifurcate_command)"
        case tasks
            printf '%s\n' queued claimed done failed cancelled
        case jobs
            printf '%s\n' submitting pending running ended refused
        case '*'
            printf '%s\n' planning running done failed cancelled
    end
end

function __bifurcate_commands
    bifurcate --help 2>/dev/null | string replace -rf '^  ([a-z]+)(?: [A-Z]+)*  +(.*)' '$1\t$2'
end

function __bifurcate_options
    bifurcate (__bifurcate_command) --help 2>/dev/null | string replace -rf '^  (?:-., )?(--[a-z-]+)(?: [^ ]+)?  +(.*)' '$1\t$2'
end

complete -c bifurcate -f
complete -c bifurcate -n 'test -z "$(__bifurcate_command)"' -a '(__bifurcate_commands)'
complete -c bifurcate -n 'string match -q -- "-*" (commandline -ct)' -a '(__bifurcate_options)'
complete -c bifurcate -n __bifurcate_takes_model -a '(bifurcate models --csv 2>/dev/null | string replace -r ",.*" "" | tail -n +2)'
complete -c bifurcate -n '__bifurcate_after --token-file --ca-file --secret-file --file --output -o' -F
complete -c bifurcate -n '__bifurcate_after --state' -a '(__bifurcate_states)'
complete -c bifurcate -n '__bifurcate_after --metric' -a 'statistics perplexity'
complete -c bifurcate -n '__bifurcate_after --view' -a 'raw centred'
complete -c bifurcate -n '__bifurcate_after --rows' -a 'all tokens'
complete -c bifurcate -n '__bifurcate_after --axis' -a 'log linear'
complete -c bifurcate -n '__bifurcate_after --panels' -a 'heat displacement bimodality valley coefficient perplexity'
complete -c bifurcate -n '__bifurcate_after --mode' -a 'last_word tokens text_mean'
complete -c bifurcate -n '__bifurcate_after --scopes' -a 'read sweep worker admin'
