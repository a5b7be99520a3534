# PowerShell completion for grapevine; add to $PROFILE:
# grapevine completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName grapevine, grapevine.exe -ScriptBlock {
    param($current, $line, $cursor)
    $words = @($line.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursor } | ForEach-Object { $_.ToString() })
    & $line.CommandElements[0].ToString() complete @words "=$current" 2>$null | ForEach-Object {
        $name, $what = $_ -split "`t", 2
        if (-not $what) { $what = $name }
        [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $what)
    }
}
