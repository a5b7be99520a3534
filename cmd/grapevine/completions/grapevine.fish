# fish completion for grapevine; put it into ~/.config/fish/completions/grapevine.fish
function __grapevine_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    $words[1] complete $words[2..-1] "=$current" 2>/dev/null
end
complete -c grapevine -a '(__grapevine_complete)'
