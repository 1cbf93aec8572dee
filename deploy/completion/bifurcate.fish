# fish completion for bifurcate, which says itself what may come next.
function __bifurcate_complete
    set -l words (commandline -opc)[2..]
    set -l current (commandline -ct)
    set -l found (bifurcate --complete $words "$current" 2>/dev/null)
    if test "$found[1]" = :files
        set -l option (string match -r -- '^--[a-z-]+=' "$current") # its value is a file
        string replace -r -- '^' "$option" (__fish_complete_path (string replace -- "$option" '' "$current"))
    else
        printf '%s\n' $found
    end
end

complete -c bifurcate -f -a '(__bifurcate_complete)'
