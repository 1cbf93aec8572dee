# fish completion for bifurcated: commands, options and what they take come from its own help.
function __bifurcated_own
    set -l words (commandline -opc)
    test (count $words) -gt 1; and string match -qr '^[a-z]' -- $words[2]; and bifurcated $words[2] --help 2>/dev/null
end

# What the option before takes: FILE, FOLDER, or one of a few words: "--keep nothing|ranges|files  (nothing)".
function __bifurcated_kind
    set -l option (string match -r -- '^--[a-z-]+(?==)' (commandline -ct)); or set option (commandline -opc)[-1]
    string match -qr -- '^--[a-z-]+$' $option; or return
    begin
        __bifurcated_own
        bifurcated --help 2>/dev/null
    end | string replace -rf -- "^ {2,6}$option (\S*).*" '$1' | head -n 1
end

function __bifurcated_takes_file
    contains -- (commandline -opc)[-1] backup restore; or string match -qr 'FILE$' -- (__bifurcated_kind)
end

complete -c bifurcated -f
complete -c bifurcated -n 'test (count (commandline -opc)) -eq 1' -a "(bifurcated --help 2>/dev/null | sed -n '/^Commands:/,/^\$/p' | string replace -rf '^  ([a-z]+).*  +(.*)' '\$1\t\$2')"
complete -c bifurcated -n 'test (commandline -opc)[-1] = token' -a "(__bifurcated_own | string replace -rf '.*bifurcated token ([a-z]+) .*' '\$1')"
complete -c bifurcated -n 'string match -q -- "-*" (commandline -ct)' -a "(bifurcated --help 2>/dev/null | string replace -rf '^ {2,6}(?:-[a-zA-Z], )?(--[a-z-]+).*' '\$1'; __bifurcated_own | string match -ar -- '--[a-z][a-z-]+')"
complete -c bifurcated -n __bifurcated_takes_file -F
complete -c bifurcated -n 'test "$(__bifurcated_kind)" = FOLDER' -a '(__fish_complete_directories)'
complete -c bifurcated -a "(__bifurcated_kind | string match -e '|' | string split '|')"
