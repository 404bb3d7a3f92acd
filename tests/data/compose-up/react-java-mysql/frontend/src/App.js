export default "src of the host"
