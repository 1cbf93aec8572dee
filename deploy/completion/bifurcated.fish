# fish completion for bifurcated: commands and options come from its own help.
function __bifurcated_after
    contains -- (commandline -opc)[-1] $argv; or contains -- (string match -r -- '^--[a-z-]+(?==)' (commandline -ct)) $argv
end

# One of a few words: "--keep nothing|ranges|files  (nothing)".
function __bifurcated_choices
    set -l previous (commandline -opc)[-1]
    string match -q -- '--*' $previous; or return
    bifurcated --help 2>/dev/null | string replace -rf -- "^  $previous ([a-z]+(?:\|[a-z]+)+).*" '$1' | string split '|'
end

complete -c bifurcated -f
complete -c bifurcated -n 'test (count (commandline -opc)) -eq 1' -a "(bifurcated --help 2>/dev/null | sed -n '/^Commands:/,/^\$/p' | string replace -rf '^  ([a-z]+).*  +(.*)' '\$1\t\$2')"
complete -c bifurcated -n 'string match -q -- "-*" (commandline -ct)' -a "(bifurcated --help 2>/dev/null | string replace -rf '^ {2,6}(?:-[a-zA-Z], )?(--[a-z-]+).*' '\$1')"
complete -c bifurcated -n '__bifurcated_after --config --token-file --ca-file --cuda-module backup restore' -F
complete -c bifurcated -n '__bifurcated_after --state --hub-cache' -a '(__fish_complete_directories)'
complete -c bifurcated -a '(__bifurcated_choices)'
