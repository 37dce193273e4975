# A person's shell on the serial console: the size of their terminal, which a serial line cannot tell.
for word in $(cat /proc/cmdline); do
    case $word in
        automdev-vm.rows=*) stty rows "${word#*=}" ;;
        automdev-vm.columns=*) stty columns "${word#*=}" ;;
        TERM=*) export "$word" ;;
    esac
done
PS1='automdev-vm:\w\$ '
cd /root
